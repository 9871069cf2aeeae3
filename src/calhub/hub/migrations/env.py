"""Alembic's entry: runs on the connection and in the transaction that `calhub.hub.migrate` hands over."""

from alembic import context

from calhub.hub.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
