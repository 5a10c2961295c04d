"""Text, below everything else: its one form, tokens, dates, numbers, language, sentences."""
