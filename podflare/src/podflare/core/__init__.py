"""What the blocking and the async kind of the SDK have in common: no call of the API is in here."""
