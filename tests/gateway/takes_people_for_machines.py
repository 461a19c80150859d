"""A gateway whose recogniser is at fault: whatever a person writes, it takes for an automatic reply."""

from gateway.cli import main
from normalizer import mime
from normalizer.canon import Kind

mime.kind_of = lambda _: Kind.AUTO_REPLY
main()
