"""Lambent: AWS Lambda, and the serverless services around it, as software that you run yourself."""

__version__ = "0.1.0"
