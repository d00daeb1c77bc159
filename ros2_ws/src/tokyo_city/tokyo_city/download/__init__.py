"""Downloads for the guide: PLATEAU by the public catalogue, and published weights. Nothing half is taken for whole."""
