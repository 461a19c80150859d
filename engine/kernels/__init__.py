"""Kernels answer one question: which rules of this stage are true on these facts."""
