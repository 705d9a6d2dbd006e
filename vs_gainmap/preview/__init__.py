"""HTML pages about frames and files: pictures, scopes, light over time."""
