"""What AWS says, and what to do about it, in plain words."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError

from ec2 import account
from seepseg.base.errors import InputError


@pytest.fixture(autouse=True)
def in_a_region(monkeypatch):
    monkeypatch.setattr(account, "region", lambda: "eu-west-1")


def said(error):
    with pytest.raises(InputError) as raised, account.plain_errors():
        raise error
    return str(raised.value)


def refusal(code, message="so it is"):
    return ClientError({"Error": {"Code": code, "Message": message}}, "RunInstances")


@pytest.mark.parametrize(
    "code, todo",
    [
        ("MaxSpotInstanceCountExceeded", "--quota-code L-3819A6DF --desired-value 4\nor launch with --on-demand"),
        ("VcpuLimitExceeded", "--quota-code L-DB2E81BA --desired-value 4\nor launch without --on-demand"),
        ("InsufficientInstanceCapacity", "or another type (--instance-type g6.xlarge or g4dn.xlarge), or with --on-de"),
        ("SpotMaxPriceTooLow", "or with --on-demand"),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "--aws-service-name spot.amazonaws.com"),
        ("InvalidGroup.NotFound", "create the stack of ec2/account.yaml in region eu-west-1 first"),
        ("NoSuchBucket", "create the stack of ec2/account.yaml"),
        ("VPCIdNotSpecified", "aws ec2 create-default-vpc"),
        ("ParameterNotFound", "name an image by --image"),
        ("InvalidAMIID.NotFound", "this one is not in eu-west-1"),
        ("Unsupported", "take another --instance-type"),
        ("UnauthorizedOperation", "policy seepseg-launcher"),
        ("AccessDenied", "policy seepseg-launcher"),
        ("AccessDeniedException", "policy seepseg-launcher"),
        ("AuthFailure", "log in to AWS"),
        ("InvalidClientTokenId", "log in to AWS"),
        ("ExpiredToken", "log in to AWS"),
        ("RequestExpired", "log in to AWS"),
    ],
)
def test_a_refusal_comes_with_what_to_do(code, todo):
    assert said(refusal(code)).startswith(f"AWS said {code}: so it is\n")
    assert todo in said(refusal(code))


def test_a_profile_that_is_missing():
    message = (
        "Value (seepseg-worker) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    )
    assert "create the stack of ec2/account.yaml" in said(refusal("InvalidParameterValue", message))


def test_what_is_not_known_is_said_as_it_is():
    assert said(refusal("Strange")) == "AWS said Strange: so it is"


def test_without_an_account():
    assert "export AWS_DEFAULT_REGION=" in said(NoRegionError())
    assert "there are no AWS credentials: log in to AWS" in said(NoCredentialsError())
    assert said(EndpointConnectionError(endpoint_url="http://127.0.0.1:1")).startswith("AWS: Could not connect")


def test_what_s3fs_makes_of_a_refusal():
    error = PermissionError("no")
    error.__cause__ = refusal("ExpiredToken")
    assert "log in to AWS" in said(error)


def test_a_file_of_this_machine_is_no_matter_of_aws():
    with pytest.raises(FileNotFoundError), account.plain_errors():
        raise FileNotFoundError(2, "missing", "a file")
