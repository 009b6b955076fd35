"""Why a pull was denied: from a pod's image to the rule that is missing, in one command.

look      what the caller's own rights let it read, once
seen      the same, as values
image     names of images, and which entry of a pull secret the kubelet takes for one
chain     the steps from a pod to the decision (pure)
decided   the runtime's own decision and its explanation, on the policy of a Registry
"""
