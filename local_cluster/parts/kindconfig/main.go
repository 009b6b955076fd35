// Kindconfig reads a kind cluster configuration as kind itself does, strictly, validates it,
// and prints role and labels of each node as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/kind/pkg/internal/apis/config/encoding"
)

type node struct {
	Role   string            `json:"role"`
	Labels map[string]string `json:"labels"`
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: kindconfig FILE"))
	}
	cluster, err := encoding.Load(os.Args[1])
	if err != nil {
		fail(err)
	}
	if err := cluster.Validate(); err != nil {
		fail(err)
	}
	var nodes []node
	for _, each := range cluster.Nodes {
		nodes = append(nodes, node{Role: string(each.Role), Labels: each.Labels})
	}
	if err := json.NewEncoder(os.Stdout).Encode(nodes); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
