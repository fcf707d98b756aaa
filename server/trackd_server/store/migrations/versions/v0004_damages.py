"""Marks on chunks and contents that verification found damaged."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: As it was then.
STATEMENT = """
CREATE TABLE damages (
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    error TEXT NOT NULL,
    found_at FLOAT NOT NULL,
    repaired_at FLOAT,
    PRIMARY KEY (kind, number)
)
 WITHOUT ROWID
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(STATEMENT)


def downgrade() -> None:
    """Drop nothing: going back is not supported; install the newer trackd again."""
    raise NotImplementedError
