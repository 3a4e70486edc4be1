"""Who does the work: processes of this machine or a cluster, alike to the last bit or refused."""
