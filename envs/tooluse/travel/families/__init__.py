"""What people ask a travel desk for, by theme."""
