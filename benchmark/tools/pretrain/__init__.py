"""Pre-train backbones: by tagging, or on SSAST's masked patches."""
