"""HTTP for programs: A1111's API (``/sdapi/v1``), one of our own (``/api/v1``) and OpenAI's way of asking for pictures."""
