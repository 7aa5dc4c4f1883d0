"""What a trained network knows, used for other images: its features, and linear classifiers of them."""
