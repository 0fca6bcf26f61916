"""The methods: from a prepared batch of rewards to values, which are certified afterwards."""
