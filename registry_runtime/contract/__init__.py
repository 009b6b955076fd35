"""What operator and runtime share: configuration, access policy, passwords and the replicas' state.

The operator renders `RuntimeConfig` (a change rolls the replicas out) and `Policy` (a change never
does); each replica answers with its `ReplicaState`. Neither side knows more of the other than this.
"""
