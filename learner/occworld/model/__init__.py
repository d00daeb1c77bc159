"""OccWorld in parts: tokenizer, transformer, ego motion, flow, decoder and voxel head."""
