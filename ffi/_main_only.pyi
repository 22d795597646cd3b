# Nothing is here but the import, which sub-interpreters are refused.
