"""The labs of moe_keras: exercises, notebooks, and a course made of them."""
