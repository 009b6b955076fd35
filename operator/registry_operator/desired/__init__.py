"""What should be there: children as pure functions of what was observed."""
