"""How each adapter is made from the settings, for the container."""
