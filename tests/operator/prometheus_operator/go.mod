module roadstead.dev/tests/operator/prometheus_operator

go 1.26.0

// Only its CRDs are read, from the module as it is downloaded: no program of it is built.
require github.com/prometheus-operator/prometheus-operator v0.85.0
