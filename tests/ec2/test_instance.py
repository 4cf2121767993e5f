import pytest
from metadata_service import MetadataService

from ec2.instance import Instance


@pytest.fixture
def service(monkeypatch):
    service = MetadataService()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
    yield service
    service.close()


def test_an_instance_knows_its_id_and_when_it_is_taken_away(service):
    instance = Instance()
    assert instance.identifier() == service.values["instance-id"]
    assert instance.interruption() is None
    service.interrupt()
    assert instance.interruption() in service.values["spot/instance-action"]
    assert service.refused == 0


def test_a_notice_of_long_ago_was_taken_back(service):
    service.interrupt(minutes=-4)
    assert Instance().interruption() is None


def test_a_token_that_is_no_longer_known_is_asked_for_anew(service):
    instance = Instance()
    instance.identifier()
    service.token = "another token"
    assert instance.identifier() == service.values["instance-id"]


def test_elsewhere_nothing_is_known(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    assert Instance().identifier() is None
    assert Instance().interruption() is None
