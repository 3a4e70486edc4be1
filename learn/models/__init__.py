"""What learns: TwinFormer, a recurrent and a linear model, what they are built of, and several of one as one."""
