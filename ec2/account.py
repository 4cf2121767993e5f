"""The AWS account, as those see it who launch, watch and stop runs: its machines, and its errors in plain words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError
from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo

from ec2.run_folder import Launch
from seepseg.base.errors import InputError

TAG = "seepseg-run"
UP = ("pending", "running", "stopping", "stopped")  # a stopped machine still pays for its disk
ENDING = "shutting-down"  # no longer paid for; its worker may still be sending a checkpoint
QUOTA = (
    "the account may not have that many vCPUs of this kind at once (in a new account, none with a GPU). An "
    "administrator has to ask for more, 4 for one g5.xlarge; the answer takes from minutes to days:\n"
    "  aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} --desired-value 4\n"
    "or launch {instead}"
)
STACK_ELSEWHERE = (
    "region {region} has no stack of ec2/account.yaml: set the region where it is (export AWS_DEFAULT_REGION=...); an "
    "account has it in one"
)
STACK = (
    "the account has no stack of ec2/account.yaml: an administrator has to create it once, in the region of the "
    "machines (docs/ec2.md)"
)
CAPACITY = (
    "AWS has no such machine to spare now. Launch again later, or another type (--instance-type g6.xlarge or "
    "g4dn.xlarge){instead}"
)
VERIFICATION = (
    "AWS checks a new account, and a new region of one: wait for its mail, up to some hours, and launch again"
)
RIGHTS = "these credentials may not do this: have the policy seepseg-launcher of ec2/account.yaml attached to them"
TYPES = (
    "It lets them launch the instance types of the stack's parameter InstanceTypes alone (g4dn.*, g5.* and g6.* where "
    "none was given). Whoever made the stack allows others, here P3 as well:\n"
    "  aws cloudformation deploy --stack-name seepseg --template-file ec2/account.yaml "
    "--capabilities CAPABILITY_NAMED_IAM --parameter-overrides 'InstanceTypes=g4dn.*,g5.*,g6.*,p3.*'"
)
LOG_IN = "log in to AWS (aws configure, or aws sso login; AWS_PROFILE names a profile of several)"
WRONG_KEYS = f"these keys are wrong, or no longer valid: {LOG_IN}"

# What to do, by the code of an error of AWS.
REMEDIES = {
    "MaxSpotInstanceCountExceeded": QUOTA.format(code="L-3819A6DF", instead="with --on-demand, which has its own"),
    "VcpuLimitExceeded": QUOTA.format(code="L-DB2E81BA", instead="with --spot, which has its own"),
    "InsufficientInstanceCapacity": CAPACITY.format(instead=", or with --on-demand instead of spot"),
    "SpotMaxPriceTooLow": CAPACITY.format(instead=", or with --on-demand"),
    "PendingVerification": VERIFICATION,
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (
        "the first spot machine of an account needs a role of EC2's own. Someone with the rights has to make it once:\n"
        "  aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
    ),
    "InvalidGroup.NotFound": STACK_ELSEWHERE,
    "NoSuchBucket": "is the bucket{bucket} right? dvc remote list shows the remote",
    "VPCIdNotSpecified": (
        "the region has no default VPC. An administrator has to make one:\n  aws ec2 create-default-vpc"
    ),
    "ParameterNotFound": "name an image by --image: ami-..., with Ubuntu, a CUDA driver and Python 3.11 or newer",
    "InvalidAMIID.NotFound": "images have another id in each region; this one is not in {region}",
    "Unsupported": "take another --instance-type, or another region",
    "UnauthorizedOperation": RIGHTS,
    "AccessDenied": RIGHTS,
    "AccessDeniedException": RIGHTS,
    "AuthFailure": LOG_IN,
    "InvalidClientTokenId": LOG_IN,
    "UnrecognizedClientException": LOG_IN,
    "ExpiredToken": LOG_IN,
    "ExpiredTokenException": LOG_IN,
    "RequestExpired": LOG_IN,
    "InvalidToken": LOG_IN,
    "InvalidAccessKeyId": WRONG_KEYS,
    "SignatureDoesNotMatch": WRONG_KEYS,
    "RequestTimeTooSkewed": "set the clock of this computer right",
}


@dataclass(frozen=True)
class Machine:
    """An EC2 instance of a run that is up, or about to end.

    Attributes:
        id: of the instance.
        run: name of the run.
        type: as `g5.xlarge`.
        state: pending, running, stopping, stopped or shutting-down.
        market: spot or on-demand.
        since: when it was launched, ISO 8601 in UTC.
        command: the `dvc` command of the run.
        revision: the commit, branch or tag that it starts from.
    """

    id: str
    run: str
    type: str
    state: str
    market: str
    since: str
    command: str
    revision: str

    def __str__(self) -> str:
        return f"{self.id} ({self.type}, {self.market}), {self.state}, launched {self.since}"

    @property
    def ends(self) -> bool:
        """It is ending, and costs no money any more."""
        return self.state == ENDING


@cache
def client(service: str) -> Any:
    """A client of an AWS service, with the credentials and region that the AWS tools use. EC2's takes a second."""
    return botocore.session.get_session().create_client(service)


def region() -> str:
    """The region of the machines."""
    name: str = client("ec2").meta.region_name
    return name


def machines(run: str | None = None) -> list[Machine]:
    """The machines of a run, or of all, that are up and so cost money, or are ending; the oldest first."""
    filters = [{"Name": "instance-state-name", "Values": [*UP, ENDING]}]
    filters += [{"Name": f"tag:{TAG}", "Values": [run]} if run else {"Name": "tag-key", "Values": [TAG]}]
    pages = client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    found = [each for page in pages for reservation in page["Reservations"] for each in reservation["Instances"]]
    return sorted(map(_machine, found), key=lambda each: (each.since, each.id))


def _machine(found: dict[str, Any]) -> Machine:
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    return Machine(
        found["InstanceId"],
        tags[TAG],
        found["InstanceType"],
        found["State"]["Name"],
        found.get("InstanceLifecycle", "on-demand"),
        found["LaunchTime"].isoformat(timespec="seconds"),
        tags.get("seepseg-command", ""),
        tags.get("seepseg-revision", ""),
    )


def elsewhere(launch: Launch | None) -> str | None:
    """Where the machines of a run are, if not among those of `machines`."""
    if launch and launch.skypilot:
        return "SkyPilot's: sky jobs queue"
    if launch and launch.region != region():
        return f"in {launch.region}, which is not the region that is set"
    return None


def default_remote() -> str:
    """Address of the repository's default DVC remote.

    Raises:
        InputError: this is no DVC repository, or has no default remote.
    """
    try:
        config = Repo().config
    except NotDvcRepoError:
        raise InputError("this folder is in no DVC repository; run this in your clone of seepseg") from None
    name = config["core"].get("remote")
    if name is None:
        raise InputError(
            "runs on EC2 share data and models through a DVC remote on S3, and the repository has none by default: "
            "dvc remote add -d storage s3://my-bucket/seepseg"
        )
    if name not in config["remote"]:
        raise InputError(f"DVC's default remote is '{name}', and no remote has this name: dvc remote list shows all")
    url: str = config["remote"][name]["url"]
    return url


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say errors of AWS in plain words, and what to do.

    Raises:
        InputError: AWS refused, or can't be reached.
    """
    for name in ("botocore", "aiobotocore"):  # they print tracebacks of what they raise as well
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    except NoRegionError:
        raise InputError("which AWS region? export AWS_DEFAULT_REGION=us-east-1, or aws configure") from None
    except NoCredentialsError:
        raise InputError(f"there are no AWS credentials: {LOG_IN}") from None
    except (SSOError, TokenRetrievalError, NoAuthTokenError) as error:
        raise InputError(f"there is no login to AWS, or it has expired ({error}): aws sso login") from None
    except ProfileNotFound as error:
        raise InputError(
            f"AWS: {error}. AWS_PROFILE names it; aws configure list-profiles names those that are there"
        ) from None
    except ResponseParserError:
        raise InputError(
            "what answered is not AWS: is there a proxy or the login page of a network between, or is "
            "AWS_ENDPOINT_URL set?"
        ) from None
    except ClientError as error:
        raise InputError(in_plain_words(error)) from None
    except OSError as error:  # as s3fs calls what S3 said
        if isinstance(error.__cause__, ClientError):
            raise InputError(in_plain_words(error.__cause__)) from None
        raise
    except BotoCoreError as error:
        raise InputError(f"AWS: {error}") from None


def in_plain_words(error: ClientError) -> str:
    """What AWS said, and what to do where that is known."""
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    about_profile = "iam instance profile" in message.lower() or "iamInstanceProfile" in message
    remedy = STACK if about_profile else REMEDIES.get(code, "")
    if code == "UnauthorizedOperation" and error.operation_name == "RunInstances":
        remedy += f"\n{TYPES}"
    if not remedy:
        return f"AWS said {code}: {message}"
    bucket = error.response["Error"].get("BucketName")
    remedy = remedy.format(region=region(), bucket=f" '{bucket}'" if bucket else "")
    return f"AWS said {code}: {message}\n{remedy}"
