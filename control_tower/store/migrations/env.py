"""Alembic's environment: it migrates the connection that ``upgrade`` hands it, and no other."""

from alembic import context

from control_tower.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
