"""Pre-training of backbones: tagging, or SSAST's masked patches."""
