"""One file a kind of personal data or secret; what each offers stands in `corpus/sensitive/__init__.py`."""
