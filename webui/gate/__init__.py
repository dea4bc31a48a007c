"""The one door: every request passes ``gate.Gate`` before page, API, pictures or previews see it. It denies by default."""
