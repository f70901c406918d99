// ClusterPolicyTests: which member of a cluster is suitable.

import Testing

@testable import OVSDBClient

@Suite struct ClusterPolicyTests {
  private func member(
    _ model: ServerDatabase.Model = .clustered, connected: Bool = true, leader: Bool = true, cluster: Int = 1, index: Int64? = 10
  ) -> ServerDatabase {
    ServerDatabase(
      name: "db", model: model, isConnected: connected, isLeader: leader, clusterID: TestSchema.id(cluster), serverID: nil, index: index)
  }

  @Test func onlyTheLeaderIsSuitable() {
    var policy = ClusterPolicy(requiresLeader: true)
    #expect(policy.objection(to: member(), "db") == nil)
    #expect(policy.objection(to: member(leader: false), "db")?.contains("is not the cluster's leader") == true)
    #expect(policy.objection(to: member(connected: false), "db")?.contains("lost contact with its cluster") == true)
    #expect(policy.objection(to: nil, "db")?.contains("does not have the database db") == true)
  }

  @Test func aFollowerIsSuitableWithoutAlternative() {
    var policy = ClusterPolicy(requiresLeader: false)
    #expect(policy.objection(to: member(leader: false), "db") == nil)
    #expect(policy.objection(to: member(connected: false, leader: false), "db") != nil)
  }

  @Test func aloneOrRelayedThereIsNoLeader() {
    var policy = ClusterPolicy(requiresLeader: true)
    #expect(policy.objection(to: member(.standalone, index: nil), "db") == nil)
    #expect(policy.objection(to: member(.relay, leader: false, index: nil), "db") == nil)
    #expect(policy.objection(to: member(.relay, connected: false, leader: false), "db") != nil)
  }

  @Test func aLaggingMemberIsUnsuitable() {
    var policy = ClusterPolicy(requiresLeader: true)
    #expect(policy.objection(to: member(index: 10), "db") == nil)
    #expect(policy.objection(to: member(index: 12), "db") == nil)
    #expect(policy.objection(to: member(index: 11), "db")?.contains("at index 11, but the cluster has already reached 12") == true)
    // A follower's log index does not count: its log may be truncated.
    #expect(policy.objection(to: member(leader: false, index: 99), "db") != nil)
    #expect(policy.objection(to: member(index: 12), "db") == nil)
    // Another cluster in its place starts its own index.
    #expect(policy.objection(to: member(cluster: 2, index: 3), "db") == nil)
    #expect(policy.objection(to: member(cluster: 2, index: 2), "db") != nil)
  }
}
