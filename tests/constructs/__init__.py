"""The rest of the language, construct by construct."""
