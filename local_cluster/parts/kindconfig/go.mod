// kind's parser and validator are in its internal packages, which only import paths below its own may import.
module sigs.k8s.io/kind/pkg/roadstead/kindconfig

go 1.26.0

require sigs.k8s.io/kind v0.33.0

require (
	github.com/pkg/errors v0.9.1 // indirect
	go.yaml.in/yaml/v3 v3.0.4 // indirect
)
