"""What a platform team installs, made from `manifests/`: a Helm chart, one install.yaml, images by digest."""
