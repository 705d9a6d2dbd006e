"""Something to look at: false color, scopes, and pages that open from disk."""
