"""The operator: custom resources in, children applied, status out."""
