"""Language models behind one interface, the OpenAI chat protocol: endpoint, local, or none."""
