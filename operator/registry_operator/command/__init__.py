"""`kubectl roadstead`: what people and pipelines ask of Roadstead, each by a verb. docs/kubectl.md.

A verb runs with the rights of who calls it, and says which of them is missing.
"""
