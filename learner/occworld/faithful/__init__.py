"""OccWorld as Zheng et al. (ECCV 2024) describe it: class embedding, BEV codes, Plan-U transformer with pose tokens."""
