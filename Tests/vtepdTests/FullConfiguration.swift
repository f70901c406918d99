// A configuration file that has every section, for tests and fuzz targets.

let fullConfigurationText = """
  name: "123"
  mode: gateway
  run-dir: /tmp/run
  state-dir: "/tmp/with blank: and colon"

  dataplane:
    workers: 2
    cores: [1, 3]
    polling: busy
    hugepages: required
    memory-mb: 512
    mac-table-size: 1000000

  underlay:
    addresses: [192.0.2.1, "2001:db8::1"]
    device: [eth0, eth1]
    driver: af_packet
    udp-port: 8472
    ttl: inherit
    multicast-ttl: 5
    dscp: 46
    pcp-to-dscp: [0, 1, 16, 24, 32, 46, 48, 63]
    dscp-to-pcp: { 46: 5, 0: 1 }
    udp-checksum: on
    udp6-zero-checksum-rx: true
    pmtu: drop
    ipsec-policy: refuse
    bfd:
      vteps: [192.0.2.2, "2001:db8::2"]
      min-tx-ms: 100
      min-rx-ms: 200
      multiplier: 5
      form: rfc8971
      vni: 7
      check-tunnel-key: true
      forwarding-if-rx: true
      decay-min-rx-ms: 2000

  protection:
    mac-move: { moves: 3, window-seconds: 10, hold-seconds: 20 }

  vnis:
    - vni: 5001
      flood: multicast
      group: 239.1.1.1
      learning: false
      accept-from: any
      inner-vlan: carry
      neighbor-suppression: known
      ageing-seconds: 0
      mac-limit: 100
      storm-control: { broadcast: 10, unknown-unicast: 20, unknown-multicast: 30 }
    - vni: 5002
      flood: replicate
      peers: [192.0.2.3, 192.0.2.2, "2001:db8::2"]
      accept-from: peers
      macs:
        - { mac: "02:00:00:00:00:21", vtep: 192.0.2.2, ip: [10.0.0.21, "2001:db8:1::21"] }
        - { mac: 02:00:00:00:00:22, vtep: "2001:db8::2", ip: 10.0.0.22 }
        - { mac: 02:00:00:00:00:23, ip: 10.0.0.23 }
    - { vni: 5003, flood: none }
    - { vni: 5004, group: "ff05::1:2" }

  acls:
    - name: web
      entries:
        - { direction: ingress, action: deny, protocol: tcp, destination-ports: 22 }
        - { sequence: 30, direction: egress, action: permit, ethertype: 0x0806 }
        - sequence: 20
          direction: ingress
          action: permit
          source-mac: "02:00:00:00:00:00/ff:00:00:00:00:00"
          source-ip: 10.0.0.0/8
          destination-ip: 10.1.0.0/255.255.0.255
          protocol: 6
          source-ports: 1024-65535
          tcp-flags: +syn-ack
    - { name: nothing }

  ports:
    - name: vm1
      kind: tap
      device: tap-vm1
      acl: web
      vni: 5001
      macs: ["52:54:00:00:00:02", "52:54:00:00:00:01"]
      mtu: 1400
    - name: bm1
      kind: netdev
      device: eth2
      vni: 5002
      vlans: { 100: 5001, 4094: 5002 }
      vlan-macs: { 100: ["02:00:00:00:01:64"] }
      vlan-acls: { 100: web, 4094: nothing }
      isolated: true
      tpid: 0x88A8

  routers:
    - name: tenant
      mac: "0e:00:00:00:00:01"
      interfaces:
        - { vni: 5001, addresses: [198.51.100.1/24, "2001:db8:1::1/64"] }
        - { vni: 5002, addresses: [203.0.113.1/25], acl: web }
      routes:
        - { prefix: 0.0.0.0/0, via: 198.51.100.254 }
        - { prefix: "2001:db8:2::/48", via: "2001:db8:1::2" }
    - { name: empty, interfaces: [] }

  ovsdb:
    remotes: ["ssl:db.example.net:6640", "ssl:[2001:db8::5]:6641"]
    private-key: /etc/vtepd/key.pem
    certificate: /etc/vtepd/cert.pem
    ca-certificate: /etc/vtepd/ca.pem
    crl: /etc/vtepd/crl.pem
    peer-name: [db.example.net, 2001:db8::5]
    inactivity-probe-seconds: 10
    max-backoff-seconds: 30
    dscp: 10
    stale-hold: 60

  metrics:
    listen: ["127.0.0.1:9478", "[::1]:9478"]
    agentx: /var/agentx/master
    vnis: 10
    vteps: 20

  """
