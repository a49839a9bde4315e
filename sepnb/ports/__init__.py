"""Older systems rebuilt as small torch networks that read their official weights; each knows only tensors."""
