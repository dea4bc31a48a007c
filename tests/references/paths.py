"""Where the recorded values lie."""

from pathlib import Path

LATENTS = Path(__file__).resolve().parent / "latents.safetensors"
PROGRAMS = Path(__file__).resolve().parent / "programs.safetensors"
