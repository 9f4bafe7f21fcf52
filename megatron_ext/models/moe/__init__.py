"""Mixture of experts: who goes where (router.py), what is seen of it (statistics.py), and its flags."""
