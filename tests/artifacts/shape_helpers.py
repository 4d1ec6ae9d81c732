"""A task of another module, which a flow finds as an attribute."""

from cascade_compiler import task


@task
def double(x):
    return 2 * x
