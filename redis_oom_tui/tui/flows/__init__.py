"""What the screen asks of the operator: each operation is a flow of questions that the app runs."""
