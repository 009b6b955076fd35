"""What is measured, and with which bar it is compared."""
