"""The fast model: tokens over the aligned past, flow of moving things, and a head that corrects the warp."""
