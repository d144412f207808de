"""The URL of a bucket; it stands in ``otagate._bucket_url``, because the policy reads it too and imports no store."""

from otagate._bucket_url import OPTIONS, BucketUrl, parse_bucket_url

__all__ = ["OPTIONS", "BucketUrl", "parse_bucket_url"]
