"""What the screen asks of the operator: each deed as a flow of questions, run by the app so that it outlives them."""
