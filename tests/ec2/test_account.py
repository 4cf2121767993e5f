"""The stack of ec2/account.yaml, and that the rights it gives are enough and none too many: `make test-aws`.

moto asks IAM for S3 by action and resource. It knows no conditions and, for other services, no resources: the policy
of those who launch is compared with what it should be.
"""

import json
import re
import shlex
import subprocess
import sys

import pytest
import s3fs
import yaml
from botocore.exceptions import ClientError
from conftest import ROOT
from moto_account import AWS, BUCKET, Account, git, repository

from ec2.account import TYPES

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(AWS is None, reason="needs moto and the AWS CLI: make test-aws")]

TEMPLATE = ROOT / "ec2/account.yaml"
ARN = f"arn:aws:s3:::{BUCKET}"
OBJECT = f"{BUCKET}/store/files/md5/ab/cdef"
CHECKPOINT = f"{BUCKET}/store/ec2/night/checkpoints/0123/last.pt"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    account = Account(tmp_path_factory.mktemp("account"))
    try:
        account.deploy()
        yield account
    finally:
        account.stop()


@pytest.fixture(scope="module")
def template():
    """The template without what CloudFormation fills in."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: f"{suffix} {node.value}")
    return yaml.load(TEMPLATE.read_text(), Loader)["Resources"]


def test_cfn_lint_finds_nothing():
    result = subprocess.run([f"{AWS}/cfn-lint", TEMPLATE], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_bucket_is_private_encrypted_and_kept(account, template):
    rule = account.client("s3").get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    bucket = template["Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    # moto makes no more of it: what follows is what the template says.
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    versions, uploads = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert versions["Status"] == uploads["Status"] == "Enabled"
    assert not any("Expiration" in rule or "ExpirationInDays" in rule for rule in (versions, uploads))
    (statement,) = template["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny" and statement["Principal"] == "*" and statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nothing_comes_in(account):
    (group,) = account.client("ec2").describe_security_groups(GroupNames=["seepseg-worker"])["SecurityGroups"]
    assert group["IpPermissions"] == []
    (vpc,) = account.client("ec2").describe_vpcs(VpcIds=[group["VpcId"]])["Vpcs"]
    assert vpc["IsDefault"]


def test_the_machine_has_the_rights_that_it_needs(account):
    iam = account.client("iam")
    (role,) = iam.get_instance_profile(InstanceProfileName="seepseg-worker")["InstanceProfile"]["Roles"]
    assert role["RoleName"] == "seepseg-worker"
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert iam.list_attached_role_policies(RoleName="seepseg-worker")["AttachedPolicies"] == []
    assert iam.list_role_policies(RoleName="seepseg-worker")["PolicyNames"] == ["bucket"]
    assert granted(policy(account)) == {
        ("s3:ListBucket", ARN),
        ("s3:GetObject", f"{ARN}/*"),
        ("s3:PutObject", f"{ARN}/*"),
        ("s3:DeleteObject", f"{ARN}/*ec2/*/checkpoints/*"),
    }


def test_those_who_launch_have_the_rights_that_they_need(account):
    account_id, document = "123456789012", launcher(account)
    (group,) = account.client("ec2").describe_security_groups(GroupNames=["seepseg-worker"])["SecurityGroups"]
    ec2 = f"arn:aws:ec2:us-east-1:{account_id}"
    spot = "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    uses = ["network-interface/*", f"security-group/{group['GroupId']}", "spot-instances-request/*", "subnet/*"]
    assert granted(document) == {
        ("ec2:RunInstances", f"{ec2}:instance/*"),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/*"),
        *(("ec2:RunInstances", f"{ec2}:{used}") for used in [*uses, "volume/*"]),
        ("ec2:CreateTags", f"{ec2}:instance/*"),
        ("ec2:DescribeImages", "*"),
        ("ec2:DescribeInstances", "*"),
        ("ec2:GetConsoleOutput", f"{ec2}:instance/*"),
        ("ec2:TerminateInstances", f"{ec2}:instance/*"),
        ("iam:PassRole", f"arn:aws:iam::{account_id}:role/seepseg-worker"),
        ("iam:CreateServiceLinkedRole", f"arn:aws:iam::{account_id}:{spot}"),
        ("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/*"),
        ("s3:ListBucket", ARN),
        ("s3:GetObject", f"{ARN}/*"),
        ("s3:PutObject", f"{ARN}/*"),
    }
    conditions = {each["Sid"]: each["Condition"] for each in document["Statement"] if "Condition" in each}
    assert conditions == {
        "LaunchWithThisProfile": {
            "ArnEquals": {"ec2:InstanceProfile": f"arn:aws:iam::{account_id}:instance-profile/seepseg-worker"},
            "StringEquals": {"ec2:MetadataHttpTokens": "required"},
            "StringLike": {
                "ec2:InstanceType": "g4dn.*,g5.*,g6.*"
            },  # AWS makes a list of it; moto, of given values only
            "Null": {"aws:RequestTag/seepseg-run": "false"},
        },
        "TagAtLaunch": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        "GiveTheRole": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        "FirstSpotMachine": {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
        "ReadSystemLogAndStop": {"Null": {"aws:ResourceTag/seepseg-run": "false"}},
    }


def test_the_policy_is_attached_to_a_person(account):
    account.client("iam").create_user(UserName="ana")
    arn = "arn:aws:iam::123456789012:policy/seepseg-launcher"
    account.aws("iam", "attach-user-policy", "--user-name", "ana", "--policy-arn", arn)
    (policy,) = account.client("iam").list_attached_user_policies(UserName="ana")["AttachedPolicies"]
    assert policy["PolicyArn"] == arn


def test_whoever_made_the_stack_allows_other_types(account):
    """By the command that a refused launch names."""
    (command,) = (line for line in TYPES.splitlines() if line.startswith("  aws "))
    words = shlex.split(command)[1:]
    assert words[words.index("--template-file") + 1] == "ec2/account.yaml"
    # Not executed, as moto does not change a policy.
    words = [str(TEMPLATE) if word == "ec2/account.yaml" else word for word in words] + ["--no-execute-changeset"]
    (change,) = re.findall(r"--change-set-name (\S+)", account.aws(*words))
    found = account.client("cloudformation").describe_change_set(StackName="seepseg", ChangeSetName=change)
    assert {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]} == {
        "BucketName": BUCKET, "InstanceTypes": "g4dn.*,g5.*,g6.*,p3.*",
    }  # fmt: skip


def launcher(account):
    """The policy of those who launch."""
    iam, arn = account.client("iam"), "arn:aws:iam::123456789012:policy/seepseg-launcher"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def granted(document):
    """Pairs of action and resource."""
    assert {each["Effect"] for each in document["Statement"]} == {"Allow"}
    return {
        (action, resource)
        for each in document["Statement"]
        for action in listed(each["Action"])
        for resource in listed(each["Resource"])
    }


def listed(value):
    return [value] if isinstance(value, str) else value


def policy(account):
    return account.client("iam").get_role_policy(RoleName="seepseg-worker", PolicyName="bucket")["PolicyDocument"]


@pytest.fixture(scope="module")
def role(account):
    """Credentials of the role, as environment variables."""
    found = account.client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/seepseg-worker", RoleSessionName="test"
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A repository that has run its stage."""
    folder = repository(tmp_path_factory.mktemp("work") / "source")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=folder, check=True)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "run")
    return folder


class Worker:
    """What a machine does, with the credentials of the role, while moto asks IAM."""

    def __init__(self, account, role, source):
        self.account, self.role, self.source = account, role, source
        self.files = s3fs.S3FileSystem(
            key=role["AWS_ACCESS_KEY_ID"],
            secret=role["AWS_SECRET_ACCESS_KEY"],
            token=role["AWS_SESSION_TOKEN"],
            endpoint_url=account.url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def dvc(self, folder, *arguments):
        run = [sys.executable, "-m", "dvc", *arguments]
        env = self.account.environment(**self.role)
        result = subprocess.run(run, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr

    def push(self, _):
        self.dvc(self.source, "push", "--run-cache")

    def pull(self, tmp_path):
        clone = tmp_path / "clone"
        git(self.source, "clone", "--quiet", ".", str(clone))
        self.dvc(clone, "pull", "--run-cache")
        assert (clone / "model.txt").read_text() == "epochs: 1\n"

    def put_and_get(self, tmp_path):
        (tmp_path / "log.txt").write_text("said")
        self.files.put_file(str(tmp_path / "log.txt"), f"{BUCKET}/store/ec2/night/logs/i-1.txt")
        assert self.files.cat_file(f"{BUCKET}/store/ec2/night/logs/i-1.txt") == b"said"

    def put_in_parts(self, tmp_path):
        (tmp_path / "large.bin").write_bytes(bytes(11 * 2**20))
        self.files.put_file(
            str(tmp_path / "large.bin"), f"{BUCKET}/store/large", chunksize=5 * 2**20, max_concurrency=1
        )
        assert self.files.size(f"{BUCKET}/store/large") == 11 * 2**20

    def list(self, _):
        assert f"{BUCKET}/store" in self.files.ls(BUCKET)

    def delete_checkpoint(self, _):
        self.files.pipe_file(CHECKPOINT, b"weights")
        self.files.rm_file(CHECKPOINT)
        assert not self.files.exists(CHECKPOINT)


DOES = ("push", "pull", "put_and_get", "put_in_parts", "list", "delete_checkpoint")


@pytest.fixture
def worker(account, role, source):
    """With moto asking IAM."""
    before = policy(account)
    files = s3fs.S3FileSystem(key="test", secret="test", endpoint_url=account.url)
    if files.exists(f"{BUCKET}/store"):
        files.rm(f"{BUCKET}/store", recursive=True)
    for path in (OBJECT, f"{BUCKET}/store/ec2/night/state.json"):
        files.pipe_file(path, b"kept")
    account.enforce(True)
    yield Worker(account, role, source)
    account.enforce(False)
    account.client("iam").put_role_policy(
        RoleName="seepseg-worker", PolicyName="bucket", PolicyDocument=json.dumps(before)
    )


def test_the_role_can_do_all_that_a_machine_does(worker, tmp_path):
    for name in DOES:
        getattr(worker, name)(tmp_path)


@pytest.mark.parametrize(
    "action, needed",
    [
        ("s3:ListBucket", {"push", "pull", "list", "delete_checkpoint"}),
        ("s3:GetObject", {"push", "pull", "put_and_get", "put_in_parts", "delete_checkpoint"}),
        ("s3:PutObject", {"push", "pull", "put_and_get", "put_in_parts", "delete_checkpoint"}),
        ("s3:DeleteObject", {"delete_checkpoint"}),
    ],
)
def test_it_could_not_do_with_less(worker, account, tmp_path, action, needed):
    account.enforce(False)
    document = policy(account)
    for statement in document["Statement"]:
        statement["Action"] = [each for each in listed(statement["Action"]) if each != action]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]
    account.client("iam").put_role_policy(
        RoleName="seepseg-worker", PolicyName="bucket", PolicyDocument=json.dumps(document)
    )
    account.enforce(True)
    refused = set()
    for name in DOES:
        folder = tmp_path / name
        folder.mkdir()
        try:
            getattr(worker, name)(folder)
        except (AssertionError, OSError):
            refused.add(name)
    assert refused == needed


@pytest.mark.parametrize(
    "path", [OBJECT, f"{BUCKET}/store/ec2/night/state.json", f"{BUCKET}/store/checkpoints/last.pt"]
)
def test_it_deletes_nothing_else(worker, path):
    worker.files.pipe_file(path, b"kept")
    with pytest.raises(PermissionError):
        worker.files.rm_file(path)
    assert worker.files.cat_file(path) == b"kept"


@pytest.mark.parametrize("path", [OBJECT, CHECKPOINT])
def test_what_it_overwrites_or_deletes_can_be_had_back(worker, account, template, role, path):
    s3, (bucket, key) = account.client("s3"), path.split("/", 1)
    account.enforce(False)
    # moto does not take it from the stack.
    s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration=template["Bucket"]["Properties"]["VersioningConfiguration"]
    )
    try:
        version = s3.put_object(Bucket=bucket, Key=key, Body=b"kept")["VersionId"]
        account.enforce(True)
        worker.files.pipe_file(path, b"of no use")
        if path == CHECKPOINT:
            worker.files.rm_file(path)
        with pytest.raises(ClientError, match="AccessDenied"):
            account.client("s3", role).delete_object(Bucket=bucket, Key=key, VersionId=version)
        account.enforce(False)
        assert s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read() == b"kept"
    finally:
        account.enforce(False)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def test_it_sees_no_other_bucket(worker, account):
    account.enforce(False)
    account.client("s3").create_bucket(Bucket="of-others")
    account.client("s3").put_object(Bucket="of-others", Key="secret", Body=b"1")
    account.enforce(True)
    for refused in (
        lambda: worker.files.ls("of-others"),
        lambda: worker.files.cat_file("of-others/secret"),
        lambda: worker.files.pipe_file("of-others/mine", b"2"),
        lambda: worker.files.rm_file("of-others/secret"),
    ):
        with pytest.raises(PermissionError):
            refused()


@pytest.mark.parametrize(
    "service, call, arguments",
    [
        ("s3", "list_buckets", {}),
        ("s3", "delete_bucket", {"Bucket": BUCKET}),
        ("s3", "put_bucket_policy", {"Bucket": BUCKET, "Policy": "{}"}),
        ("ec2", "describe_instances", {}),
        ("ec2", "run_instances", {"ImageId": "ami-1e749f67", "MinCount": 1, "MaxCount": 1}),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-0123456789abcdef0"]}),
        ("iam", "list_users", {}),
        ("iam", "create_user", {"UserName": "me"}),
        ("ssm", "get_parameter", {"Name": "secret"}),
    ],
)
def test_it_may_do_nothing_else(worker, account, role, service, call, arguments):
    client = account.client(service, role)
    with pytest.raises(ClientError) as refused:
        getattr(client, call)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
