"""What users call: ``compile``, ``run``, ``arun``, ``cycle_id``."""
