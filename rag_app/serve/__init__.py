"""Asked by other programs: a page and HTTP (`rag-app serve`), and MCP (`rag-app mcp`)."""
